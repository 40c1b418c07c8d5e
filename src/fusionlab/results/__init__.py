"""From records to statistics, tables, figures and a page. Nothing is trained or decoded here.

load.py               a study's folder -> entries, one per planned arm (done, failed or missing)
answers.py            which answers were right, without scores
head_scores.py        what a net's heads said of each video: heads.npz
combine.py, svm.py    two heads' stored scores fused: averages, a chosen weight, a support vector machine
crossed.py            paired differences over seeds and groups of videos: the method, and these networks
squares.py            their mean squares, and the variance of a mean
accuracy.py           Wilson's interval of a single accuracy, whose videos come in groups
families.py           Holm's correction, effects of a full factorial grid
spec.py               the content of a table's yaml
towers.py             the streams trained on, from the records of the control
gains.py              which answers are held against which, in pairs of one seed
shares.py             shares of right answers, with intervals and ceilings
selection.py          the trial of a row with the lowest validation loss
rows.py               entries -> rows: the mean over seeds, the control, gains
ceilings.py           rows of what could be reached, and of the paper's
protocol_rules.py     what rows of one table must share
protocol_warnings.py  warnings about rows that cannot be compared, remarks about single rows
differences.py        which rows differ: two families of tests, the matrix of all pairs
contrasts.py          what true pairs of clips add; effects over a grid of fusions
doubling.py           what twice the budget changes
claim.py              the claim that was named before the run, and its verdict
headline.py, notes.py the sentence above the table, and how to read its numbers
mistakes.py           three typical mistakes of a row, chosen by a rule
cells.py              the columns, and the text of each cell
tables.py             rows -> a table of texts; text_tables, latex, csv_table, page and figures write it
cross.py              a table of one's own: two sets of axes, a number in each cell
report.py             all of it: report(study, spec, folder)
"""
