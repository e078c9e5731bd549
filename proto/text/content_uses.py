"""What a chat template does with the content of messages, by its syntax."""

from jinja2 import nodes


class ContentUses:
    """Whether a template takes contents for texts, for lists of parts, or for either."""

    def __init__(self, tree: nodes.Template) -> None:
        assigned = [one for one in tree.find_all(nodes.Assign) if is_content(one.node)]
        self._names = {one.target.name for one in assigned if isinstance(one.target, nodes.Name)}
        self._names.add("content")  # a macro's argument
        self.walked = any(self._stands_for_it(one.iter) for one in tree.find_all(nodes.For)) or any(
            self._is_part(of)
            for kind in (nodes.Getattr, nodes.Getitem)
            for one in tree.find_all(kind)
            for of in one.iter_child_nodes(only=("node",))
        )
        """It has a loop over a content, or takes a field of a part of it."""
        self.asked_for_text = any(
            one.name == "string" and self._stands_for_it(one.node)
            for one in tree.find_all(nodes.Test)
        )

    def _stands_for_it(self, node: nodes.Node) -> bool:
        return is_content(node) or (isinstance(node, nodes.Name) and node.name in self._names)

    def _is_part(self, node: nodes.Node) -> bool:
        """Whether it is one of a content's parts by its number, of which something is taken."""
        match node:
            case nodes.Getitem(node=of, arg=nodes.Const(value=int())):
                return self._stands_for_it(of)
        return False


def is_content(node: nodes.Node) -> bool:
    """Whether it is `X.content` or `X['content']`, filtered or not."""
    match node:
        case nodes.Getattr(attr="content"):
            return True
        case nodes.Getitem(arg=nodes.Const(value="content")):
            return True
        case nodes.Filter(node=nodes.Node() as inner):
            return is_content(inner)
    return False
