"""Grammars in GBNF and EBNF: what they allow, and what is wrong with others."""

import pytest
from llguidance import LLMatcher

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import any_bytes, checked_grammar
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.limits import LIMITS

JSON = r"""
# llama.cpp's
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""
SQL = """
    root ::= select_statement
    select_statement ::= "SELECT " column " from " table
    column ::= "col_1" | "col_2"
    table ::= "table_1"
           | "table_2"  # on a line of its own
"""
CHESS = r"""
root   ::= ( "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n"){0,3} )
move   ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
"""


def allows(grammar: str, text: str) -> bool:
    """Whether this text is a whole answer."""
    made = checked_grammar(Constraint("grammar", grammar, "ebnf"))
    matcher = LLMatcher(any_bytes(), made, limits=LIMITS, log_level=0)
    said = list(text.encode())
    return matcher.validate_tokens(said) == len(said) and (
        matcher.consume_tokens(said) and matcher.is_accepting()
    )


@pytest.mark.parametrize(
    ("grammar", "inside", "outside"),
    [
        (JSON, '{"a": [1, -2.5e3, "\\u00e9\\n", {}], "b": null}', '{"a": tru}'),
        (SQL, "SELECT col_2 from table_2", "SELECT col_3 from table_2"),
        (CHESS, "1. e4 e5\n2. Nf3 Nc6\n", "1. e9 e5\n"),
        ('root ::= "a"\n  | "b"\n  | "c"', "c", "d"),
        ('root ::= a b\na ::= [a-z]+\nb ::= "x"', "abcx", "abc"),
        ('root ::= "(" root ")" | "x"', "((x))", "((x)"),
        ('root ::= root "a" | "b"', "baa", "ab"),
        (r'root ::= "\u00e9\x41\U0001F600\t\\\""', 'éA😀\t\\"', "e"),
        (r"root ::= [\u00e0-\u00ff]{2}", "éÿ", "ee"),
        (r"root ::= [^a-z\]\n]+", "A[9", "A]"),
        ("root ::= [a-]", "-", "b"),
        ("root ::= [-a]", "-", "b"),
        (r"root ::= [a\-z]", "-", "b"),
        ("root ::= [&~[]{3}", "&[~", "]&~"),
        ("root ::= [/.*+?(){}|^$]+", "/.*^$", "a"),
        ('root ::= "a"{2} "b"{1,} "c"{,2} "d"{ 1 , 2 }', "aabbccd", "abccd"),
        ('root ::= ("a" | "b")? "c" .', "bc\n", "bc"),
        ('root ::= "a" (|"b")', "a", "ac"),
        ("root ::= 'it\"s'", 'it"s', "its"),
        ('root ::= Foo-Bar_1 # one\nFoo-Bar_1 ::= "x" # ::= "y"', "x", "y"),
        ('start ::= one\none ::= "1"', "1", "2"),
        ('root ::= start "b"\nstart ::= "a"', "ab", "a"),
        ('root ::= ("a"+)?* "b"', "aaab", "c"),
        ('?start: one\n?one: "1" | "2" "::="', "2::=", "2"),
    ],
)
def test_what_a_grammar_allows(grammar: str, inside: str, outside: str) -> None:
    assert allows(grammar, inside)
    assert not allows(grammar, outside)


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        ('root ::= "a" b', "line 1: there is no rule b"),
        ('x ::= "a"\ny ::= x', "there is no rule root, but x, y"),
        ('root ::= "a"\n\nroot ::= "b"', "line 3: there is a rule root already"),
        ('root ::= "a', "line 1: '\"a' is not known here"),
        ('root ::= "a\\', "line 1: '\"a\\\\' is not known here"),
        ("root ::= [a", "line 1: '[a' is not known here"),
        ("root ::= []", "line 1: [] has no characters"),
        ("root ::= [^]", "line 1: [^] has no characters"),
        ("root ::=\n [z-a]", "line 2: the range z-a has no characters"),
        ('root ::= ("a"', "line 1: Expected ')', a ( is not closed"),
        ('root ::= "a")', "line 1: ) closes nothing"),
        ("root ::= *", "line 1: * has nothing to repeat"),
        ('root ::= "a" | + "b"', "line 1: + has nothing to repeat"),
        ('root ::= "a"{}', "line 1: {} says no number"),
        (r'root ::= "\q"', r"line 1: \q is no escape that is known here"),
        (r'root ::= "\ud800"', r"line 1: \ud800 is no character"),
        ('root ::= "a";', "line 1: ';' is not known here"),
        ('"a" root ::= "b"', "line 1: '\"a\"' is in no rule"),
        ("root ::= root", "no answer can be written in it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(grammar: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked_grammar(Constraint("grammar", grammar, "ebnf"))

    assert caught.value.param == "ebnf"
    assert said in caught.value.message
    assert "\n" not in caught.value.message
