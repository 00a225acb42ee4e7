"""What a study is told, checked, and the cells that follow."""
