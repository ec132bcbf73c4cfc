"""The table of a network: measured layer by layer (measure), as rows and totals (rows), written for people and programs (sheet)."""
from .measure import Ledger, tabulate
from .rows import HEADINGS, TOTALS, Row, Table, amount, count, times
from .sheet import Column, Sheet

__all__ = ["HEADINGS", "TOTALS", "Column", "Ledger", "Row", "Sheet", "Table", "amount", "count", "tabulate", "times"]
