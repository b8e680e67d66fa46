# docker build -t firstorder .                       for processors
# docker build -t firstorder --build-arg BASE=pytorch/pytorch:TAG .   for CUDA: TAG of torch 2.13
# docker run --rm -v "$PWD:/work" firstorder train data=glyphs
ARG BASE=python:3.11-slim
FROM ${BASE}

# The native engine is built where it first runs.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*

COPY . /src
# torch of the base is kept where there is one; else that of constraints.txt, for processors.
RUN python -m pip install --no-cache-dir --constraint /src/constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu /src \
    && rm -rf /src

WORKDIR /work
VOLUME /work
ENV FIRSTORDER_CACHE=/work/.cache
ENTRYPOINT ["firstorder"]
CMD ["--help"]
