"""`crawler dashboard`: a page that shows a crawl and steers it."""
