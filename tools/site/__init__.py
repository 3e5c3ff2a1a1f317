"""The documentation as a site: collects the pages of the checkout, writes what follows from the code, and builds it."""
