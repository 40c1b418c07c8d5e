"""From records to statistics, tables, plots and a page. Nothing is trained or decoded here.

load.py               a study's folder -> entries, one per planned arm (done, failed or missing)
squares.py            the variance of a mean over seeds and groups of videos
crossed.py            paired differences over seeds and groups of videos: two intervals, sign flips, power
accuracy.py           the interval of one accuracy where videos come in groups
families.py           several comparisons at once: Holm, contrasts over factorial grids
claim.py              the claim named before a run, and the verdict on it
statistics.py         mean, sd, Wilson, gains over late fusion, sign flips
spec.py               the content of a table's yaml
rows.py               entries -> rows: the mean over seeds, gains, ceilings, the paper's figures
protocol_warnings.py  warnings about rows that cannot be compared
notes.py              the table's answer, and how to read its numbers
tables.py             rows -> a table of texts; text_tables, latex, csv_table, page and plots write it
report.py             all of it: report(study, spec, folder)
"""
