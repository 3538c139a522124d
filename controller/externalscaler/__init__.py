"""What does KEDA ask a scaler, and what is true of ours? The messages of its interface, and the answers.

`answers` is pure. `externalscaler_pb2` is generated; only it knows protobuf.
"""
