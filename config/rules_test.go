package config_test

import _ "riptide-proxy/namespace/acl" // the grammar of rules, for all tests here
