"""Search: full text, fusion, relevance, similar items, served rewrites, pools of examples."""
