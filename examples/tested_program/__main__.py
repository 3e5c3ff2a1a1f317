from shop import declare

declare()
