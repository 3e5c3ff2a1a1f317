"""The documentation as a site: collects the checkout's pages, generates pages from the code, and builds the site."""
