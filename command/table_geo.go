package command

// geoRows are the commands on sorted sets of places. Only GEORADIUS and GEORADIUSBYMEMBER take a key as an option. When
// they are given STORE twice, servers check a user's permission for the first key and write to the last.
var geoRows = rows{
	"geoadd":  {Arity: -5, Flags: Write | DenyOOM, Cats: CatGeo, Keys: key(RW | Update), Run: Shared},
	"geodist": {Arity: -4, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared, Miss: MissNull},
	"geohash": {Arity: -2, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared, Miss: MissNone},
	"geopos":  {Arity: -2, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared, Miss: MissNone},
	"georadius": {Arity: -6, Flags: Write | DenyOOM | MovableKeys, Cats: CatGeo,
		Keys: key(RO | Access).and(after("STORE", 6, 0, 0, OW|Update)).and(after("STOREDIST", 6, 0, 0, OW|Update)),
		Find: findGeoRadius(6), Run: Shared, Unwalled: true},
	"georadius_ro": {Arity: -6, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared},
	"georadiusbymember": {Arity: -5, Flags: Write | DenyOOM | MovableKeys, Cats: CatGeo,
		Keys: key(RO | Access).and(after("STORE", 5, 0, 0, OW|Update)).and(after("STOREDIST", 5, 0, 0, OW|Update)),
		Find: findGeoRadius(5), Run: Shared, Unwalled: true},
	"georadiusbymember_ro": {Arity: -5, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared},
	"geosearch":            {Arity: -7, Flags: ReadOnly, Cats: CatGeo, Keys: key(RO | Access), Run: Shared},
	"geosearchstore": {Arity: -8, Flags: Write | DenyOOM, Cats: CatGeo,
		Keys: key(OW | Update).and(keyAt(2, RO|Access)), Run: Shared},
}
