//! Result files -> HTML, plots, Markdown and HdrHistogram logs.
