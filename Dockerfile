# The steps of README.md, as a user without privileges; nothing is fetched when it runs.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home sourcier && mkdir /data /sourcier && chown sourcier /data /sourcier
USER sourcier
WORKDIR /sourcier
COPY --chown=sourcier . .
RUN make install
# The index, the conversations, what was added on the page, the hashes of keys and the decoded model outlive the container.
ENV INDEX_PATH=/data/index ASSISTANT_CHATS_PATH=/data/chats.sqlite ASSISTANT_UPLOADS_PATH=/data/uploads ASSISTANT_API_KEYS=/data/keys.json XDG_CACHE_HOME=/data/cache
VOLUME /data
EXPOSE 7860
HEALTHCHECK --start-period=2m CMD [".venv/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/api/health', timeout=5)"]
CMD [".venv/bin/assistant", "serve", "--host", "0.0.0.0"]
