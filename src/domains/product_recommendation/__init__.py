"""Recommend products by what people liked together."""
