package stats

// extractTags splits a stat's name into the name that all stats of its kind share and the tags that were embedded.
func extractTags(name string) (string, []label) { return name, nil }
