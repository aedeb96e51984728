# An image with Logitleak and what it needs, on a CPU. The data and the results are the host's:
#   docker build -t logitleak .
#   docker run --rm -v "$PWD/runs:/audit/runs" logitleak run /opt/logitleak/configs/demo.yaml --out /audit/runs/demo
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 auditor
WORKDIR /opt/logitleak
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY configs ./configs
RUN pip install --no-cache-dir .
USER auditor
WORKDIR /audit
ENTRYPOINT ["logitleak"]
CMD ["--help"]
