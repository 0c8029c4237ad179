package envoy

import _ "github.com/lockkeeper/lockkeeper/gateway/storage"
