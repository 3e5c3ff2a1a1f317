"""Reports: their content, and one writer for each format."""
