"""The engine protocol of model gateways: vllm.grpc.engine.VllmEngine, over a Service."""
