"""One file per section of the page, beside its template."""
