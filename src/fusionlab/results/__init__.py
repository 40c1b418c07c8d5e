"""From records to statistics, tables, plots and a page. Nothing is trained or decoded here.

load.py               a study's folder -> entries, one per planned arm (done, failed or missing)
statistics.py         mean, sd, Wilson, paired differences, gains over late fusion, sign flips
spec.py               the content of a table's yaml
rows.py               entries -> rows: the mean over seeds, gains, ceilings, the paper's figures
protocol_warnings.py  warnings about rows that cannot be compared
notes.py              the table's answer, and how to read its numbers
tables.py             rows -> a table of texts; text_tables, latex, csv_table, page and plots write it
report.py             all of it: report(study, spec, folder)
"""
