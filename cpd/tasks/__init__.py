"""The task tables: what an adapter is for, where its data comes from, and how well it does.

``card`` says what a text task is; ``packaged`` and ``glue`` are the two suites; ``encoders`` is the table of base
models; ``text`` turns a card and an encoder into losses and scores. Only this folder and ``artifacts`` touch data sets.
"""
