-- Shared by the scripts of TripleStore. KEYS[2]: the entries.
-- The six entries of a triple: a letter for the order, then the three terms, each with its end mark, in that order.
local function orders_of(s, p, o)
  return {'s' .. s .. p .. o, 'S' .. s .. o .. p, 'p' .. p .. s .. o, 'P' .. p .. o .. s, 'o' .. o .. s .. p,
    'O' .. o .. p .. s}
end
