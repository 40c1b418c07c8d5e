"""A laboratory for one question: how, where and when should two streams be fused?"""

__version__ = "0.1.0"
