package storage

import _ "github.com/lockkeeper/lockkeeper/gateway/mesh"

func init() {}
