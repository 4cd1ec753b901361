"""One self-contained HTML page of a run. Reads files of the run directory only; needs no model and no videos."""

from videossl.report.page import write_report

__all__ = ["write_report"]
