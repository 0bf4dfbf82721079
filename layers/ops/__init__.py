"""The layers as ops, by family: functions of weights and of x. Each op is one declaration that carries its rules."""
