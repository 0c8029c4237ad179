"""Payments of a shop, which tell of themselves by OpenTelemetry's SDK: a metric, a trace and a log record of one request, by OTLP.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 OTEL_RESOURCE_ATTRIBUTES=app=payments,version=v2,idc=idc1 \
        python payments.py grpc TRACEPARENT
"""

import importlib
import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.propagate import extract
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, traceparent = sys.argv[1:]


def exporter(signal, name):
    module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.{signal}_exporter")
    return getattr(module, name)()


traces = TracerProvider()
traces.add_span_processor(BatchSpanProcessor(exporter("trace", "OTLPSpanExporter")))
meters = MeterProvider([PeriodicExportingMetricReader(exporter("metric", "OTLPMetricExporter"))])
logs = LoggerProvider()
logs.add_log_record_processor(BatchLogRecordProcessor(exporter("_log", "OTLPLogExporter")))
logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))
logging.getLogger().setLevel(logging.INFO)

paid = meters.get_meter("shop").create_counter("shop_payments_total")
# The request says which trace it is of: Envoy logs the same header.
with traces.get_tracer("shop").start_as_current_span("POST /pay", extract({"traceparent": traceparent}), trace.SpanKind.SERVER):
    paid.add(1, {"method": "card"})
    logging.info("asked the bank")
    logging.error("card declined", extra={"bank": "north"})

for provider in (traces, meters, logs):
    provider.shutdown()
