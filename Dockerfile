# Two images: `docker build --target cpu .` and `docker build --target cuda .` (docs/gpu.md).

# Both can be overridden, for a mirror or another release: --build-arg CUDA_IMAGE=…
ARG NODE_IMAGE=node:20-bookworm-slim
# A runtime with cuDNN, of the CUDA generation the provider was built for (13), with a glibc of 2.28 or newer.
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04

# What runs: the packages without those for development.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`: it refuses a lock file that lacks the optional packages of platforms nobody here has. onnxruntime-node
# brings the libraries of every platform; only this one's stay.
RUN npm install --no-save --no-audit --omit=dev \
  && npm cache clean --force \
  && find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 2 -maxdepth 2 -type d \
    ! -path "*/linux/$(node -p process.arch)" -exec rm -rf {} +

# The same with ONNX Runtime's CUDA provider, which the npm package leaves out.
FROM packages AS packages-cuda
COPY scripts/setup-cuda.mjs scripts/
COPY scripts/cuda scripts/cuda
RUN node scripts/setup-cuda.mjs --fetch-only

# TypeScript to JavaScript.
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --no-audit --include=dev
COPY tsconfig.json ./
COPY src src
COPY clients/typescript clients/typescript
RUN npm run --silent build

# The service's own files, the same in both images.
FROM scratch AS service
COPY LICENSE NOTICE /
COPY --from=build /app/dist /dist
COPY --from=build /app/clients/typescript/dist /clients/typescript/dist
COPY clients/web /clients/web
COPY models/portrait /models/portrait

FROM ${NODE_IMAGE} AS cpu
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=packages /app ./
COPY --from=service / ./
# A number, so that it is the same user in both images, whatever users their bases have.
RUN install -d -o 1000 -g 1000 hls
USER 1000:1000
# ONNX Runtime's builds report their use to Microsoft unless told not to.
ENV NODE_ENV=production ORT_DISABLE_TELEMETRY=1
VOLUME /app/hls
EXPOSE 9999
STOPSIGNAL SIGTERM
# Ready means that the model is loaded and warm; until then /health answers 503. A certificate is not made for 127.0.0.1.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; fetch(`${process.env.TLS_CERT ? 'https' : 'http'}://127.0.0.1:${process.env.PORT || 9999}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]

FROM ${CUDA_IMAGE} AS cuda
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates ffmpeg \
  && rm -rf /var/lib/apt/lists/*
COPY --from=packages-cuda /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=packages-cuda /app ./
# Fails the build when the base image lacks a library that the provider needs. The driver comes from the host at run time.
RUN node scripts/setup-cuda.mjs --check --no-gpu
COPY --from=service / ./
RUN install -d -o 1000 -g 1000 hls
USER 1000:1000
# The NVIDIA_ variables tell the NVIDIA Container Toolkit what to bring in from the host: the driver's libraries for
# computing, and nvidia-smi.
ENV NODE_ENV=production ORT_DISABLE_TELEMETRY=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /app/hls
EXPOSE 9999
STOPSIGNAL SIGTERM
# Warming up is slow on a GPU: cuDNN searches for the fastest algorithm of every shape.
HEALTHCHECK --interval=15s --timeout=5s --start-period=600s --retries=3 \
  CMD ["node", "-e", "process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; fetch(`${process.env.TLS_CERT ? 'https' : 'http'}://127.0.0.1:${process.env.PORT || 9999}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
