"""What travels: sealed envelopes, strict bounded messages, party sets as bit maps. Never pickle."""
