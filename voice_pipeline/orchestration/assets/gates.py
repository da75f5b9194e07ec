"""The gates at the end of the path: licences, and the promotion that decides over everything."""

GROUP = "gates"
