FROM node:22-slim AS build
WORKDIR /app
# The dependencies first: they change seldom, so their layer is kept from build to build.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY config ./config
USER node
# A role as argument; no argument: all of them in one process. Signals reach node itself, which drains.
ENTRYPOINT ["node", "dist/main.js"]
