# The crawler for a shared Redis: docker compose up, or docker run IMAGE work --redis URL.
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 crawler
WORKDIR /src
COPY pyproject.toml requirements-dev.lock README.md LICENSE ./
COPY crawler crawler
# The lock serves as constraints: the image gets the tested versions of what the crawler itself needs, no tools.
RUN pip install --no-cache-dir --constraint requirements-dev.lock '.[documents,fast,parquet,web]' && rm -rf /src/crawler
COPY docker/healthcheck.py /usr/local/lib/crawler-healthcheck.py

USER crawler
WORKDIR /home/crawler
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["crawler"]
CMD ["--help"]
