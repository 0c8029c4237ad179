package probes

func checkHostPort(*Target) error { return nil }

func checkHost(*Target) error { return nil }
