# The digest is that of the image for all processors: the tag may move, the bytes do not. `docker buildx imagetools inspect` prints a newer one.
FROM node:20.20.2-bookworm-slim@sha256:2cf067cfed83d5ea958367df9f966191a942351a2df77d6f0193e162b5febfc0 AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Our own script needs the sources, which come next: so that a change of source does not install everything again.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build \
  && mkdir models \
  && node bin/run.js export --checkpoint checkpoints/hpsv3-mini-a/model.safetensors --modality image-text --mode item --out models/hpsv3-mini-a.onnx --quiet

FROM node:20.20.2-bookworm-slim@sha256:2cf067cfed83d5ea958367df9f966191a942351a2df77d6f0193e162b5febfc0
ENV NODE_ENV=production
# Decodes clips; the version is that of the Debian release in the digest.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
# No package of the production set needs its install script; ours has run in the build stage.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force
COPY LICENSE ./
COPY bin ./bin
COPY configs ./configs
COPY schemas ./schemas
COPY checkpoints ./checkpoints
COPY launcher ./launcher
COPY licenses ./licenses
COPY deploy/docker-entrypoint.sh ./
COPY --from=build /app/dist ./dist
COPY --from=build /app/models ./models
COPY --from=build /app/oclif.manifest.json ./
RUN ln -s /app/bin/run.js /usr/local/bin/hpsv3 && ln -s /app/bin/run_hpsv3.js /usr/local/bin/run_hpsv3
# Any user will do (`--user "$(id -u):$(id -g)"` for a mounted folder of yours), and the file system may be read-only (`--read-only --tmpfs /tmp`).
ENV HOME=/tmp
USER 1000:1000
WORKDIR /work
EXPOSE 8080
# Of a server; whatever else runs here ends by itself, and nobody asks whether it is well.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/docker-entrypoint.sh"]
CMD ["--help"]
