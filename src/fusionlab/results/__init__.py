"""From records to statistics, tables, plots and a page. Reads what arms left behind; trains and decodes
nothing.

load.py        a study's folder -> entries, one per arm that was to be (done, failed or not there)
statistics.py  mean, sd, Wilson, paired difference, sign flips
spec.py        what a table's yaml may say
rows.py        entries -> rows: seeds gathered, gains over late, the paper's figures beside
guards.py      what must be said beside the rows, so that they are not compared wrongly
tables.py      rows -> a table of texts, which terminal, markdown, latex and page write down
report.py      all of it: report(study, spec, folder)
"""
