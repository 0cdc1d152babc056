/* Keys for tests only; they protect nothing. */
#ifndef MU_TEST_SCEP_KEYS_H
#define MU_TEST_SCEP_KEYS_H

/* RSA 2048 */
static const char key_ca[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCv2saR6r3SpTGw\n"
    "PmzxmLx+C5O5jNdaNImRSgrwe7T4VYp4dAoYJngs5RlpCK3JWFCpCnH322xRQ5k+\n"
    "oXe/6f1ZA1PzztvjlScicBE3FNs0XqK6HIIDN8F0rVCgRPjgDDF/vPWI2b07O15x\n"
    "m2eD44Z1WzSiKrm3VPYiTdFcPeo/c5F0J4zouVAQRiWf/DSn3MMEghAXndTSrxBl\n"
    "LZ/aXt4f2bb0BRT3njmnI3WjM7vVP/I8cGRTWj8pCtytuLcFKfdO5g5lenXDfHo0\n"
    "z5YkHaupZRhs/yE2f4WFuH0AMdqID0fn72ojvS+m9mjlH8GL1nC/yaI0A85BwFua\n"
    "R2zhPBVDAgMBAAECggEAAKskP0CeWB6opkUoxN3I6/G/UpeLDFOZFtsqWJ+yDiQy\n"
    "0pAeXkbZcq2sSMVdY8RGwRSdqAOP0Uhppd672BgSfDQkv9iHL8G6izb4tTYKg90F\n"
    "86F10+1Nw4qlIYkhlsq+N7c95W4lVXIGnnWoyDncD9q46IBX79OgksViGvDPB7xt\n"
    "+OJ+l3pItjWRa1snP3OqWNUCXhEtT4DRFYSHcBYFxKP+3fOGu5oK9Os0fxUVr7C/\n"
    "XTe0TYL683Fui+jehrKtU19w/nEOm6T+oDlVHQ8qucj+YnFD7W9EZq3LshKVT/Xm\n"
    "fhrsf8M0UvNc+ovaD8YTvn+CU9LQIsaTq6lkbH9XgQKBgQDqwsO+F2yfI3EgZrOp\n"
    "udesVrqN5e6nbdCo8Y1mU4xWM8a4mLvOaO8kyLL1mNhbL97TcSHDsnkUTX6ns5ZS\n"
    "lUB+GC5fuuoN8PUah9Si5VnALoMXnsEeEUq2RB9Cxdw3QeQ2uw9V1jTSyonIoNKY\n"
    "00jOz3dwT2fqgiT/yLTPiRzEbwKBgQC/w7MGVRjTpcrVTT7SPA3PHyy8GOeYu1ft\n"
    "3D5ctg5G8nttFxDK+exz4YCpI73RK6+YqjWUORo7vmI8Z/IXYJV8ZFCNnLaqn9rE\n"
    "AGYzIuF/o69VWSu5Uz6qnUlIdHhTJ9uhBdeIJeknkGpZm4V9EaiMzBj6zIm6xs0a\n"
    "Gwynu5eubQKBgQDT/i7ewK5hApNMjBGfqeedg/AQ5VrerKbpeL+UcMvgp/7CgYHO\n"
    "wil6ERax+2Uc6xyP2bCA1PDLqbM+40hSqN7FPzbZUaO8FSRw4cndk7i5eAb/VGfV\n"
    "rA3Ii7mjBaN37rOTzNXrUHUBCM7lcnzabqlnwCd+LuaK+R1KMcc9RfbJVwKBgCvB\n"
    "kdX+EN4qVG/7YjxCa7w5FtIMtLvK87NYr/ojqHpT1gn8W16VTHjcmaj+eM+DsluZ\n"
    "awRZSz0aofu6lCj1ZuatVRwbCCtCsn5KwQcmDGI9jUJiSHHPJttzbEdWHCaNT7Yc\n"
    "SSPN0reuYjX0IK97GgSWhZSkm0C9IAu25FpZmbC5AoGBALXCjOe26gGxf/k+Kdm0\n"
    "EkgAc6fykFjB5JVDZQHVA1GWH0hsRL00VDtCO4wfVrNEah8pvOLadP9436bmu3VW\n"
    "s+XrqgSU6gJCoLDmtPsJ24WQAr7yG0Z1SO0QMVFWxzN9fuHofYsq04WF0zYskQ3C\n"
    "15kNgA0SynscVUxNfkmOgUjN\n"
    "-----END PRIVATE KEY-----\n";

/* RSA 2048 */
static const char key_ra[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEuwIBADANBgkqhkiG9w0BAQEFAASCBKUwggShAgEAAoIBAQCaTiaVxoAE0wIN\n"
    "FZqbD8nE5tk28by0VWCYSs2EDh8ByjDMx89nHwC5P/FSGWE4BWZj4FyhKWBluuJW\n"
    "a6LQq1Avg+GsKNRxzC9K172PBC/XBYmxTOoQgbSsW4W5Wz/5+5ZbYGCctM2b709n\n"
    "2QeoXKr3KLJC0pTQTg5eIVSihyKhrwsmAj+2j4sjGYnRDDhR7sLD1BDHKlDR1nxp\n"
    "OoVcMashQBnJlvlY7Y7PbtrWFk4O+A9SEeZtgTvfW3O57phJyZrVM9KdUg2Vs2t4\n"
    "Q1uk69I0XSkH/1purd0XaXlfp1YX7u6SOGs3OriNGxWBqCQ5GR5GorIsbFsPBp9l\n"
    "I4lYGEEZAgMBAAECgf9nBPDojjO/r3ZvGz1dc+0ByMi80NLBPenVGMadTnrlIa3z\n"
    "CnPYz+9rvtp0NahH/qhIMO2nAOObB7/qcsertAnqWeJmo9vdHgrKV79MUen0D35z\n"
    "y9DPCcnWSO8UEW1lONM/A9l8xjl/zQZMDwSjIztW8uoQ3bGntnVhOF+JIy+77FhI\n"
    "vEUewg/vfbvAZ2dmN3Osj0pdDvRGJHvACkWdo4d35SwSl5PwtW4qP4loXdzVInnG\n"
    "UJ1Z5fLMwrNcq+kDIB8Lo3F2ZTEnznAFM7wB/tUBeuYV5nY9Z9Jbz/iwQG36Jj5z\n"
    "1zwvXbcOPGz9WtIGtSla/is+pM662jt/tH/EOLUCgYEAz8mq2mclXwFjbMJ3PYrw\n"
    "2+zgkJDaLcUQL1obZjEF3K4aWVNaJvJvMuxB7KIrAafQNCruKuE6yw72aYWcbgM4\n"
    "encS/sL/Chnf5+0aVE1SL3vB/LuxkvVUyfcto9iuV7ZP1jTdp9nbbqqb2mKdIv0v\n"
    "2krAgHPK16SWaC3h9S2fto0CgYEAvhuwzv89dttb/f0G1GD14wJexZnE3UdLOGAX\n"
    "uXVyPGDJrQnf+2quu2/TojSQJsjESiBWsu+8MZwIbMBOwwa7XUWmRiizo+wp/19D\n"
    "23d1bcv8DJ778/LeaXpmhsQsXcX7IPMCHJIEsjlxZ3e+BwdyKI3wIyLhl1N7YYB+\n"
    "HkGbJ70CgYBDJ711WtLEMtGsa+lX1Zjkq1kkv/wTwNXrR+cFDyEC4q4XYo4HemEg\n"
    "ByWDUiIuJctvoNRavXJgAFT5Y7pb/+R4CBX2ipUc8aHg9kuFJXxDZm8avJq2kV22\n"
    "7JEunDA0nvKMm4dr4Ug/Kxq16Rs6HLQji/dNTJ8pNMN7piCaOgWdXQKBgGTMj+Ih\n"
    "ibiEtPEmAUIIqzeToSaK0sw1KhgZM1sdf9WtyCFc1Asd1MoDkCY4UpqN5y4amX3F\n"
    "CXcQcZMgIGLeJehdrr0ShbWL2fTS0UsDuxrdhqY2ggcmJnGs+cHJMHEEMZSV5O+7\n"
    "KIxLUur2naZid1AzejlXHGA9XnUjSTvHs3nNAoGBAIVBd87jHoOdNKj3W/Aoo3st\n"
    "5R7eTEL5p4EBiTCF8nNn3I/QSTHdB2s86bk2wUfUdF/jUbjKwLYAcC+dPY8AfB7W\n"
    "1xW48sIKr3bkxMbge+c9OLurKSfxgu9sMpYJoBlk7QXcYgb4IeYPznn1oVmLCqwy\n"
    "Sc/EanKzUfT5RYlzqiTm\n"
    "-----END PRIVATE KEY-----\n";

/* RSA 2048 */
static const char key_client[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCtGUs855Ph5wJ6\n"
    "K1Ah0gEN7vP3cY15JNhNN7Mllm/f8jKZFgq7k8mFG2BP2eANhtC6imeUHdJ8+Inc\n"
    "rjpxiyaVC/Ey8Vsi6+I7fmRqQkcpB/Zikso6LXX67wA5GjbTfTHUdoTGtOodcxYR\n"
    "7AJAWkOBytXBmEtfI04RwWdapbYC/cXzRkOMBZXDrp+moT9ulKJPKFPtoJnTn9DR\n"
    "50emVUlC1laqHnmDKwALXGM29rhx2aS8iy1XVSIH/W5s8aR7PQCiUnqc3YN2Nli1\n"
    "fm1UAB2gI1yk9S7WIJEgtD8vkjtfNOoSQTRgEkiZk6zg+oEEmIOzNmWosQixGbTJ\n"
    "WQuGqjCVAgMBAAECggEAAOuHKdi1QYMf0T8VBZ5UdnApsyFTC4IgSttxQ/w2YK4B\n"
    "34HC0YJp6h+Iyy6GRqwhGeINxjduXKRZiecR1R6p4tWVv5vmzHBihccYiN63UBwv\n"
    "Dru8VW4pGAoDKfUzYLu5SGl6L9ra+l3Cj+/S3JKzlHyxLCk/ZU8OZYEYp95aRvke\n"
    "EUGGmGeuKlsEijY1iX5Vcos/XAZMbqUUahaDaQo5sCiq6b6FeoifSObqV2MI0VYk\n"
    "cqJdXGx+A4/rR4jZ+U8WKmBZmLiVDdKjQuDHwo92O3ivJJhTPcZ0hQ9Xs9GHXbuQ\n"
    "TqSt3qXCmafZ5VXwS/sEgFck1HsPylDKPWc2Tr+cVQKBgQD0iAiUMtJrnVkEUfIw\n"
    "HMPONY/cP/0X/FQtfC1dN/Z+WuTTAf4UDQAL+XlZF9gKlVmDoLmrpJ52iW1xjmHd\n"
    "wg67Q9wrMO6bY2xI6vaUyv4tIeiYW7c/oxdwlBKEp/J7HvM1dHn0W6iyW6Sluxnx\n"
    "WuCo1By9NKVmX5xl0b/zODfZxwKBgQC1N5rimW0Mueub5aYuKP/oRyPuC/X5L5m9\n"
    "6f1obqNXPWxwfavecHWPPpIEwUNGdCuGsWRAMzBYpwhjLlPfl9HPr2pTiLWApAqs\n"
    "cRV2ihHFLm3CnG9Le0gdOyfnu2OYniJRvSUwV/nw0owkaGMolmEGNtFDzI+40uZ8\n"
    "JVJDsjZCwwKBgDankQNOuKlE6fiFOFR4mWslnZnk03Tg+Q+RibIkJ/vl5O8kqt1g\n"
    "anpCsFSxd6Al8XPyII20pZZo8QVIhadDEHfamwMsVKh2eGVz3tky5czAn3QuS671\n"
    "jO+kqN7tiszqBgIUno13TyVORmakgw/m9//EKQhBFBbll9dKIlUCY7lRAoGAFE9M\n"
    "E5Ngbmmz50AAtPGxZKX8d+RtR+U21NsRpI+pzNA8hAsBpSdzdX9svA2w7Yd9jVX6\n"
    "R1u1Umo9/WemzMtmH2Goh/4tYWKBM7xkzGlC/pdqg8Imkw4ZEfWcTlNpISSv8ftB\n"
    "3L4va/cc78OnQVhBPYINSAz4Gp3AaS+BncauYCMCgYEAgLB6EO3subaywFcYoj/1\n"
    "hjvso0YhlJZZ9zycFG+gnpaEEDuIh6FEH1EzUUy57rrkJzvcwjCV87egdJce5iK/\n"
    "8W36diXbDMx6UuUuySvGNRWxQM5vop03U+Z18cAs+xnso/zzR5iM5zjJmI/e/vZ5\n"
    "+hSt4u2SgaQnYGRm92rj8hI=\n"
    "-----END PRIVATE KEY-----\n";

/* RSA 2048 */
static const char key_other[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDDHEBLUi+BG7Gp\n"
    "Owc2hnc7hlc9UiSD6MCSA3t3EIOVEGm+Mu1Zthmnxpw0ePzuARJH0ZuGQRjiCZFG\n"
    "RBD4Kdfq/Mn6QGm1AxYnox4twa0YVm39HOSvOf8aFf9xTtPfVzadRqs7uZanZ+L5\n"
    "mq/d/w8RvJEUVAD9BL9Flvc2NQXD255LCB0pof2kxle7paSUEX1NyAHpXp8FAsZU\n"
    "ydAEqcY2qfv8vzPIOYMkX1rssxQcCTVpRB8QqLFG2eqs/0nqzBFWcqL+VGtYf/f7\n"
    "MO+QyyZeSN/+NEVgXrJiST9UJDMTLHwpDs9mt4J6r6deaSsKL4CaiUH5dR6SimSY\n"
    "cXZbFDcLAgMBAAECggEABWjOG4h+yqyS42dAjvFxctQJrSiO3J1iYWn5TVbG3yYi\n"
    "WGSfEgKreWxXPlkwYgTjldwo3LMHVpT/UxxmAAtg8iHqE6cfhyY7wgOSvaAGBYu3\n"
    "5vGbIYSRHw8HEwQleaa4W+nuq2w80g1eTJ9OSvBcYZiByTd/A4TTLMG/vt//deuf\n"
    "aQUCSNjbiBMAnHb0WIw8f6VHFc/OuZg1/KOFUYsNQ43TLz7d+Y8Yh0oFYRFBHinh\n"
    "sMAPYluEbc/cxT9hFxe6wV4njTypZ0SCnGFQiH1/3spJLSF1n1EkvADUKNMRWT/O\n"
    "V62HTlNzmdl1T/4xnz7eCLHkTcAh5EpmY/4mssSUqQKBgQD08w26/mQcq61GAWLc\n"
    "cQrH3qtbjRVpKBv+9HJv4wZ/EUUkFuCDaZfGsjBX1xVpevwQJ8iCxadg0kWgyF5q\n"
    "CM0TE/tPIioS81rAUxAf/uNQDC2BLfkwe0qBl29w3w3BUOz6NZXDo/7d+w/hf26S\n"
    "stqTLg5Y0LvR0fcDiGDYiJf0vQKBgQDL6ZnUc8fmMhVzTLVac9DhsMyFPQXt85gU\n"
    "UwamkXQbPlG4C+dAlSWZKzzdvFeeB+b8BsQmlvWmfmaOxgip/ud8WAkFVAi5DoJd\n"
    "JjyUJCV/NXvixSbT+a6ZvGaIw9BlmPHvEujqh9zcq/8iO3krgsxdNmNh0AqlCBuG\n"
    "fA1rZPkrZwKBgDBN7hs+J4fv4w+3HkPSlwmrQ6eePuap3jt9AURHRPSx9yySxluj\n"
    "6yZn5VitNa/DbQnSjpwbVlKlpM18NgI7EhX9DsYgOqPaEb9zoe5tWW5juGWNJ2ME\n"
    "LUE5F+TuV8wTpWgCQTJ/mLc113/knW2Yj7oOjw28vA04lrm/nzmUVkMRAoGAeP/o\n"
    "WWpO32ku01lccA0zkQkhg5q/bwDSaJUP6D19oUDsqwLdObSHOAmxN36wm0TjKwA0\n"
    "2xVPNXniD6yxrXZmFKIE0FWaS32xm+a5ocqFOaQaHGmS7cxGcFGcomFXw0HrpksZ\n"
    "TTpLs+KYJc8Wytv1uwYwGPWjq2RROQ9ZwzWKqdcCgYB98PnPeont1YQ4cwvShOym\n"
    "o3ZrfoKGOXT74p4eEsdTRBY4Ir6pQpAjQ/2D0bKqDn89Fu5QecdJJzKezb6eoB/E\n"
    "MS6o2OSUmIsximOW6wzn9BvOB2E+APL7KWLbIX8E18Q/qhR18AzAxZ/QxP2hG2c8\n"
    "vEyo7bWzt4cvpnD0MQfoVA==\n"
    "-----END PRIVATE KEY-----\n";

/* EC P-256 */
static const char key_ec[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaTbpYG8A4Ql7/3Kq\n"
    "EWtYbR/L04k9L++aF28jiLSX2aehRANCAASppnrqjmcx8BTWl1lzgnYoNq7ZTWMt\n"
    "a/7UV4sAYE0WAx8o6LzppCbJYnxR/47QIwr7KvxogoIJvn8q79Osdhap\n"
    "-----END PRIVATE KEY-----\n";

/* EC P-256 */
static const char key_ec_ca[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJ1QLVoPDst/uXmBy\n"
    "spaJ4dzAHUGirYp5e4CK8PiUqsqhRANCAATpPiKVQHUqwPMtv60i6/3xRdzn+QLe\n"
    "c3t+H/Yo/E4D2099XcCXwkK/RD7flcdf/Lwh7U2Q/9PZ3l5ZEVUt3UCC\n"
    "-----END PRIVATE KEY-----\n";

#endif
