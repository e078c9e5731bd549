"""Models that propose tokens for another one to verify: small models of the same tokenizer, and
heads that go on from what the model itself has computed.

They run on the engine thread of rank 0, between two steps, and whatever goes wrong with them ends
speculation, not the engine. What they propose travels in the plan, as all drafts do. Start at
`proposer.py`.
"""
