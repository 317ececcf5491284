# Pinned by tag: the digest differs by platform and was not recorded when this was written. To pin it, append
# @sha256:… as printed by `docker buildx imagetools inspect node:20.20-bookworm-slim`.
FROM node:20.20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Our own script needs the sources, which come next: so that a change of source does not install everything again.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:20.20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
# No package of the production set needs its install script; ours has run in the build stage.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force
COPY LICENSE ./
COPY bin ./bin
COPY configs ./configs
COPY schemas ./schemas
COPY --from=build /app/dist ./dist
COPY --from=build /app/oclif.manifest.json ./
RUN ln -s /app/bin/run.js /usr/local/bin/hpsv3
USER node
WORKDIR /data
ENTRYPOINT ["hpsv3"]
CMD ["--help"]
