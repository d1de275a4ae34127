"""suggestion: what the columns of an undescribed source may mean, and the settings that say so."""
