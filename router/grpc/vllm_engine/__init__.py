"""The engine protocol of model gateways, vllm.grpc.engine.VllmEngine. Start at `servicer.py`."""
