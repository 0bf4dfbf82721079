"""The layers as ops: functions of their weights and of x, by family; each is one declaration that carries its rules."""
