-- Open: names without a catalog mean the attached warehouse's, and from here on nothing outside of
-- it can be reached: no file, no network, no extension. After `attach.sql`. No parameters.
use warehouse;
set enable_external_access = false;
