-- create.lua: make the crawl's `meta`, which all other verbs ask for first.
-- Why Lua: two creators of one name must not mix their settings.
-- REST  field and value of `meta`, repeated (settings, salt, schema)
-- RETURNS OK (also when this generation has made it before) | EXISTS | DELETING | REMAINS (of another crawl, whose
--         `meta` is damaged or gone)
if GENERATION then
  if STATE == 'deleting' then
    return { 'DELETING' }
  end
  return { GENERATION == ARGV[1] and 'OK' or 'EXISTS' }
end
if redis.call('EXISTS', unpack(KEYS, 1, OWN_KEYS - 1)) > 0 then
  return { 'REMAINS' }
end
redis.call('HSET', META, 'generation', ARGV[1], 'state', 'running', 'roots_rev', 0, 'settings_rev', 0,
  'created_ms', T, unpack(ARGV, REST))
return { 'OK' }
