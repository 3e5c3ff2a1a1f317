"""
A report of a command: its content, and one writer for each format. It knows nothing of accounts, prices and policies.

- `content`: Which parts does a report have?
- `text`: How does it look in a terminal?
- `markdown`: How does it look on a page, and as the comment of a pull request?
- `machine`: How do programs read it, as JSON and as JUnit XML?
"""
