"""Reports: plain figures in, one self-contained HTML file out.

`document` describes what a report says, `plots` draws arrays as SVG, `html` renders both. The package knows nothing of
parties or protocols: whoever runs a job decides what its report shows.
"""
